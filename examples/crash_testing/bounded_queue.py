"""A queue of limited length, as a user might write it: correct, and with one mistake.

Both keep their items in a list of fixed length, the place of the first one, and their number.  A push into the broken
one is two operations, each atomic alone: first the number goes up, then the item is stored.  Without a crash nobody
ever sees the difference.
"""

from pmemobj import PersistentObject


class BoundedQueue(PersistentObject):
    def __init__(self, length):
        self.cells = [None] * length
        self.first = 0
        self.number = 0

    def __iter__(self):
        length = len(self.cells)
        return (self.cells[(self.first + i) % length] for i in range(self.number))

    def push(self, item):
        """Raises IndexError if the queue is full."""
        with self._p_mm.transaction():
            self._store(item)

    def pop(self):
        """The oldest item.  Raises IndexError if the queue is empty."""
        if not self.number:
            raise IndexError("pop from an empty queue")
        with self._p_mm.transaction():
            item, self.cells[self.first] = self.cells[self.first], None
            self.first = (self.first + 1) % len(self.cells)
            self.number -= 1
        return item

    def _store(self, item):
        if self.number == len(self.cells):
            raise IndexError("the queue is full")
        self.number += 1
        self.cells[(self.first + self.number - 1) % len(self.cells)] = item


class BrokenQueue(BoundedQueue):
    def push(self, item):
        self._store(item)
