"""Injects faults into training: killed, stopped, hung, or out of disk, a run must end with the same bits as without.

python -m faults                the campaign; results are committed under results/
python -m faults.day            a long run in which a process is killed every few seconds
python -m faults.table          writes docs/reliability.md's tables from the results

Linux only: processes are found through /proc.
"""
