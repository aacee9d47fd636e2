from edge_unlock.bench import measure


def test_every_stage_is_measured(encoder):
    measurements = {measurement.stage: measurement for measurement in measure(encoder, 20)}
    assert len(measurements) == 9
    assert all(measurement.value > 0 for measurement in measurements.values())
