"""Collecting on many machines: actors of a Ray cluster step environments and choose actions; this process learns.

group.py    a group: some of the environments and an engine, in one actor
groups.py   all groups: calls them at the same time, and replaces actors that are lost
fleet.py    all environments as one `Stepper`, which records how to restore each
acting.py   fills a rollout from the groups
paces.py    which groups are slow
answers.py  how actors of any kind answer, and find modules
nodes.py    Ray: the only file that imports it

Whole runs are spread over a cluster, too: `a2c.seeds.remote` and `a2c.tuning.remote`, on what is in the last two files.
"""
