"""Trains several seeds of the same settings at the same time; each run is what it would be alone.

parent.py   hands seeds to processes, and shows what becomes of them
places.py   where processes run, and how many
process.py  such a process: its own side, with the orders it obeys and the messages it sends
child.py    such a process on this machine: the parent's side
host.py     such a process on a machine of a cluster: the side of the actor that starts it there
remote.py   the same, the parent's side, with the copies of the runs' folders
one.py      what a process is told to do
board.py, rows.py, frame.py, aggregate.py   what the user sees
"""
