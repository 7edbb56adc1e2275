"""Tests of what is made of the measurements, on results made by hand: `python3 -m unittest discover -t . -s rig`."""
