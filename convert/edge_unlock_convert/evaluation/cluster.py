"""Hears recordings on a Dask cluster, where one machine is not enough."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from edge_unlock_convert.errors import ConversionError
from edge_unlock_convert.evaluation.extraction import Workers
from edge_unlock_convert.evaluation.listening import System

CONNECT_S = 20
WORKERS_S = 60
PACKAGE = "edge-unlock"
HINT = "Its workers need edge-unlock[convert,dask] in the version of this machine."


@contextmanager
def cluster_workers(address: str) -> Iterator[Workers]:
    """The workers of the scheduler at ``address``, which may come and go.

    What a lost worker had is heard by another. Scheduler and workers must be trusted: Dask lets
    them run code here. Raises ``ConversionError`` where nobody answers or versions differ.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ConversionError(
            "--scheduler needs Dask", "pip install 'edge-unlock[dask]', here and on the cluster."
        ) from error
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise ConversionError(
            f"no Dask scheduler answers at {address}", "Give an address such as tcp://HOST:8786."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_S)
            versions = set(client.run(version, PACKAGE).values())
        except (OSError, ImportError) as error:
            raise ConversionError(f"the cluster cannot be used: {error}", HINT) from error
        if versions != {version(PACKAGE)}:
            raise ConversionError(
                f"the cluster has {PACKAGE} {', '.join(sorted(versions))}, not {version(PACKAGE)}",
                HINT,
            )
        # a task and no scattered data: the scheduler can make it again when a worker is lost
        executor = client.get_executor(pure=False)
        yield Workers(
            executor,
            max(1, sum(client.nthreads().values())),
            lambda system: client.submit(_itself, system, pure=False),
        )


def _itself(system: System) -> System:
    return system
