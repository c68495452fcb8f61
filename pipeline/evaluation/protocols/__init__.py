"""Lists of what is measured: frozen ones of this project, and public test sets cut by `command`."""
