"""Collecting on many machines: actors of a Ray cluster step the environments and act, this process learns.

group.py    what runs in an actor: some of the environments, with an engine beside them
fleet.py    all groups as one `Stepper`, each replaced when it is lost
acting.py   the fleet as what fills a rollout
nodes.py    Ray
"""
