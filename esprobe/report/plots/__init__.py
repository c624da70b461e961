"""The plots of a report. Only `report --plots` comes here, so that nothing else loads matplotlib."""
