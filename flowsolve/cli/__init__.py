"""The command `flowsolve`. Nothing here imports torch before a command runs.

parser      what the command accepts, and its exit codes
commands    one file a command: its options and what it does
options     options that several commands share, made into what they name
spacings    grids by name
output      the folder of results: locked, grown, never overwritten unasked
show        what is printed: tables, CSV, JSON, in any encoding
tables      the tables of studies, progress by rows
progress    signs of life from what has no rows
experiment  rows as they come, tables, and what is left behind
reference_progress  how far a reference is
"""

from flowsolve.cli.parser import main as main
