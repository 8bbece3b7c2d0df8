"""Training with faults made on purpose: killed, stopped, hung and out of disk, it must end with the undisturbed bits.

python -m faults                the campaign; results are committed under results/
python -m faults.day            a long run in which something dies every few seconds
python -m faults.table          writes docs/reliability.md's table from the results

Linux only: processes are found through /proc.
"""
