"""What everything else stands on: errors, dtypes, shapes, devices, configuration, memory."""
