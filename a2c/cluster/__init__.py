"""Collecting on many machines: actors of a Ray cluster step the environments and act, this process learns.

group.py    what runs in an actor: some of the environments, with an engine beside them
groups.py   the actors, asked all at once; one that is lost is put anew
fleet.py    all environments as one `Stepper`, which knows where each stands
acting.py   the fleet as what fills a rollout
nodes.py    Ray
"""
