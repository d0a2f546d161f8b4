"""The operators of PersistentArray: each is that of a plain ndarray of its memory, and gives plain ones."""

from cpython.object cimport Py_EQ, Py_GE, Py_GT, Py_LE, Py_LT, Py_NE

import operator

cdef dict COMPARE = {
    Py_LT: operator.lt, Py_LE: operator.le, Py_EQ: operator.eq, Py_NE: operator.ne, Py_GT: operator.gt,
    Py_GE: operator.ge,
}


cdef object plain(object value):
    return value.__array__() if isinstance(value, ArrayNumbers) else value


cdef class ArrayNumbers(PersistentBuffer):
    """Base of PersistentArray, which has __array__() and, for the operators that change it, _p_change()."""

    __hash__ = None

    # --- numbers

    def __bool__(self):
        return bool(self.__array__())

    def __int__(self):
        return int(self.__array__())

    def __float__(self):
        return float(self.__array__())

    def __complex__(self):
        return complex(self.__array__())

    def __index__(self):
        return operator.index(self.__array__())

    def __richcmp__(self, other, int op):
        return COMPARE[op](self.__array__(), plain(other))

    def __neg__(self):
        return -self.__array__()

    def __pos__(self):
        return +self.__array__()

    def __abs__(self):
        return abs(self.__array__())

    def __invert__(self):
        return ~self.__array__()

    def __add__(self, other):
        return self.__array__() + plain(other)

    def __radd__(self, other):
        return other + self.__array__()

    def __sub__(self, other):
        return self.__array__() - plain(other)

    def __rsub__(self, other):
        return other - self.__array__()

    def __mul__(self, other):
        return self.__array__() * plain(other)

    def __rmul__(self, other):
        return other * self.__array__()

    def __truediv__(self, other):
        return self.__array__() / plain(other)

    def __rtruediv__(self, other):
        return other / self.__array__()

    def __floordiv__(self, other):
        return self.__array__() // plain(other)

    def __rfloordiv__(self, other):
        return other // self.__array__()

    def __mod__(self, other):
        return self.__array__() % plain(other)

    def __rmod__(self, other):
        return other % self.__array__()

    def __matmul__(self, other):
        return self.__array__() @ plain(other)

    def __rmatmul__(self, other):
        return other @ self.__array__()

    def __lshift__(self, other):
        return self.__array__() << plain(other)

    def __rlshift__(self, other):
        return other << self.__array__()

    def __rshift__(self, other):
        return self.__array__() >> plain(other)

    def __rrshift__(self, other):
        return other >> self.__array__()

    def __and__(self, other):
        return self.__array__() & plain(other)

    def __rand__(self, other):
        return other & self.__array__()

    def __or__(self, other):
        return self.__array__() | plain(other)

    def __ror__(self, other):
        return other | self.__array__()

    def __xor__(self, other):
        return self.__array__() ^ plain(other)

    def __rxor__(self, other):
        return other ^ self.__array__()

    def __divmod__(self, other):
        return divmod(self.__array__(), plain(other))

    def __rdivmod__(self, other):
        return divmod(other, self.__array__())

    def __pow__(self, other, modulo):
        return self.__array__() ** plain(other)

    def __rpow__(self, other, modulo):
        return other ** self.__array__()

    def __iadd__(self, other):
        return self._p_change(operator.iadd, other)

    def __isub__(self, other):
        return self._p_change(operator.isub, other)

    def __imul__(self, other):
        return self._p_change(operator.imul, other)

    def __itruediv__(self, other):
        return self._p_change(operator.itruediv, other)

    def __ifloordiv__(self, other):
        return self._p_change(operator.ifloordiv, other)

    def __imod__(self, other):
        return self._p_change(operator.imod, other)

    def __imatmul__(self, other):
        return self._p_change(operator.imatmul, other)

    def __ilshift__(self, other):
        return self._p_change(operator.ilshift, other)

    def __irshift__(self, other):
        return self._p_change(operator.irshift, other)

    def __iand__(self, other):
        return self._p_change(operator.iand, other)

    def __ior__(self, other):
        return self._p_change(operator.ior, other)

    def __ixor__(self, other):
        return self._p_change(operator.ixor, other)

    def __ipow__(self, other):
        return self._p_change(operator.ipow, other)
