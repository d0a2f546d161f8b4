"""One module for each store, imported only when it is measured: most need a package of their own."""
