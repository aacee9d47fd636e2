"""From a checkpoint to a package that the device accepts: made, signed, inspected, shipped."""
