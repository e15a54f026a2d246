"""Floods against a real host, and what honest terminals notice of them: `python -m tests.floods`.

lines.py     sockets that come from a chosen loopback address: another address is another device
schedule.py  calm and attacked windows in turn, on a clock all processes share
honest.py    a process of honest terminals: a steady trade, and sign-ons now and then
attackers.py a process that floods in the attacked windows; bounded in count and time
watch.py     what the host process uses: memory, files, processor
site.py      a provisioned host for all of it
storm.py     thousands of terminals that come back at once
report.py    the table, and the figures as JSON
"""
