/*
 * names.h: the fast way from an attribute's name to its field, for objects of one type.
 *
 * A small hash table by the address of interned names.  It holds only while the type's version tag is what it was
 * when the table was made: a property or method that appears later changes the tag.
 */
#ifndef PM_NAMES_H
#define PM_NAMES_H

#include "items.h"

#define PM_NO_FIELD (-1)        /* not in the table: go the slow way */
#define PM_OF_CLASS (-2)        /* nothing is stored under this name; the class has an attribute of it */
#define PM_TYPED (-3)           /* to be set: only some values may be stored */

/* Exact types that a typed field tells apart on its fast way (KINDS in fields.py). */
enum pm_kind {
    PM_KIND_INT = 1,
    PM_KIND_FLOAT = 2,
    PM_KIND_BOOL = 4,
    PM_KIND_STR = 8,
    PM_KIND_BYTES = 16,
    PM_KIND_NONE = 32
};

typedef struct pm_name {
    PyObject *name;             /* NULL: empty; borrowed from the owner of the table */
    Py_ssize_t field;
    Py_ssize_t settable;        /* the field, if it takes any value; PM_TYPED, PM_OF_CLASS */
    unsigned kinds;             /* PM_TYPED: values of these kinds may be stored as they are */
} pm_name;

typedef struct pm_names {
    unsigned version;           /* 0: the table holds for no type */
    size_t mask, used;
    pm_name *cells;
} pm_names;

/* A type's version tag changes whenever an attribute of it or of a base does; 0 is none. */
static inline unsigned pm_type_version(PyObject *type)
{
#if PY_VERSION_HEX < 0x030c0000
    if (!PyType_HasFeature((PyTypeObject *)type, Py_TPFLAGS_VALID_VERSION_TAG))
        return 0;
#endif
    return ((PyTypeObject *)type)->tp_version_tag;
}

static inline int pm_is_type(PyObject *o, unsigned version)
{
    return version != 0 && pm_type_version((PyObject *)Py_TYPE(o)) == version;
}

/* The cell of the name, or the empty one where it belongs. */
static inline pm_name *pm_name_cell(const pm_names *names, PyObject *name)
{
    size_t at = ((size_t)name >> 4) & names->mask;
    while (names->cells[at].name != NULL && names->cells[at].name != name)
        at = (at + 1) & names->mask;
    return &names->cells[at];
}

static inline Py_ssize_t pm_field_of(const pm_names *names, PyObject *o, PyObject *name)
{
    if (!pm_is_type(o, names->version))
        return PM_NO_FIELD;
    const pm_name *cell = pm_name_cell(names, name);
    return cell->name != NULL ? cell->field : PM_NO_FIELD;
}

/* The same for a value to be stored: one that any value may be stored in, or PM_TYPED. */
static inline Py_ssize_t pm_settable_field_of(const pm_names *names, PyObject *o, PyObject *name)
{
    if (!pm_is_type(o, names->version))
        return PM_NO_FIELD;
    const pm_name *cell = pm_name_cell(names, name);
    return cell->name != NULL ? cell->settable : PM_NO_FIELD;
}

static inline unsigned pm_kind_of(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyLong_Type)
        return PM_KIND_INT;
    if (type == &PyUnicode_Type)
        return PM_KIND_STR;
    if (type == &PyFloat_Type)
        return PM_KIND_FLOAT;
    if (type == &PyBool_Type)
        return PM_KIND_BOOL;
    if (value == Py_None)
        return PM_KIND_NONE;
    return type == &PyBytes_Type ? PM_KIND_BYTES : 0;
}

/* The typed field of that name, if the value may be stored in it as it is. */
static inline Py_ssize_t pm_typed_field_of(const pm_names *names, PyObject *name, PyObject *value)
{
    const pm_name *cell = pm_name_cell(names, name);
    return cell->name != NULL && cell->kinds & pm_kind_of(value) ? cell->field : PM_NO_FIELD;
}

/* Where a field is, if the object has room for it, inside the pool, and this thread may look at it; or NULL. */
static inline uint64_t *pm_field_at(const pm_pool *p, pm_object *head, Py_ssize_t field)
{
    const pm_instance *instance = (const pm_instance *)head;
    if (field < 0 || !pm_may_read(p, head) || field >= (Py_ssize_t)instance->cap)
        return NULL;
    return pm_word(p, instance->fields + (uint64_t)field * 8);
}

#endif
