"""A class whose objects have the attributes that they are made with."""

import pmemobj


class Thing(pmemobj.PersistentObject):
    def __init__(self, **fields):
        for name, value in fields.items():
            setattr(self, name, value)
