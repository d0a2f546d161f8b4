"""Small programs, each written four times: in memory, with pmemobj, with sqlite3, with shelve.

A module has VERSIONS: name -> function(directory, amount), which does the whole work, from opening its file to
closing it, and returns the number of operations and a summary of what it found, the same for all versions.  All
keep what they have committed when they are killed, except the one in memory; sqlite3 in WAL mode with
synchronous=NORMAL promises against power loss what pmemobj's sync="interval" does, without the bound in time.
"""
