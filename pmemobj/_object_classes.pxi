# The type table: a persistent list with a record for each class whose objects were ever stored; a record is a
# persistent list of module, qualified name and the names of the fields: those that the class declares, in that order,
# and then what its objects were given.  An object holds its class's number.

cdef enum:
    RECORD_HEAD = 2             # items of a record before the names of the fields


cdef str text_at(Pool pool, pm_vec *v, uint64_t i):
    value = slot_load(pool, vec_at(pool, v, i, 1)[0])
    if type(value) is not str:
        raise errors.PoolDamagedError(f"{pool.path}: the type table holds a {type(value).__name__}")
    return value


cdef inline pm_vec *items_of(Pool pool, uint64_t offset) noexcept:
    return &(<pm_list *>pm_at(pool.p, offset)).items


cdef uint32_t stored_classes(Pool pool) noexcept:
    """How many the type table has; 0 when there is none, or when what should be it is no list."""
    cdef uint64_t slot = pool.p.root.types_slot
    return <uint32_t>items_of(pool, slot).size if is_list(pool, slot) else 0


cdef bint is_list(Pool pool, uint64_t slot) noexcept:
    """The slot refers to a list that lies inside the pool."""
    return slot != 0 and slot <= PM_OFFSET_MASK and slot & 7 == 0 and \
        pm_inside(pool.p, slot, sizeof(pm_list)) and (<pm_object *>pm_at(pool.p, slot)).type == PM_TYPE_LIST


cdef int append_slot(Pool pool, uint64_t offset, object value) except -1:
    """Inside an operation: appends a str, or the only reference to a new object, to a list."""
    cdef pm_vec *v = items_of(pool, offset)
    cdef uint64_t *cell
    cdef uint64_t slot
    vec_reserve(pool, v, v.size + 1, 1)
    slot = encode(pool, value) if type(value) is str else PM_REFERENCE(PM_REF_OBJECT, value)
    cell = vec_at(pool, v, v.size, 1)
    if pool.p.depth:
        pm_snapshot(pool.p, cell, 8)
    cell[0] = slot
    pm_fresh(pool.p, cell, 8)
    pm_store(pool.p, &v.size, v.size + 1)
    return 0


cdef int set_text(Pool pool, uint64_t list_offset, uint64_t i, str text) except -1:
    """Inside an operation: replaces item i of a list of texts."""
    cdef uint64_t slot = encode(pool, text)
    cdef uint64_t *cell = vec_at(pool, items_of(pool, list_offset), i, 1)
    cdef uint64_t old = cell[0]
    pm_store(pool.p, cell, slot)
    slot_drop(pool, old)
    return 0


cdef tuple names_of(object cls):
    """Module and qualified name under which the class is stored."""
    if cls is PersistentObject:
        return "pmemobj", "PersistentObject"
    return str(cls.__module__), str(cls.__qualname__)


cdef bint is_class(object found) noexcept:
    return PyType_Check(found) and PyType_IsSubtype(<PyTypeObject *>found, <PyTypeObject *>PersistentObject)


cdef dict aliases = {}                  # (module, qualname) -> weak reference of the class that had this name before


cdef int add_aliases(object cls) except -1:
    names = cls.__dict__.get("__p_aliases__", ())
    if type(names) is not tuple:
        raise TypeError(f"__p_aliases__ of {cls.__qualname__} must be a tuple of names, not {names!r}")
    for name in names:
        aliases[split_name(name)] = weakref.ref(cls)
    return 0


cdef tuple split_name(object name):
    if type(name) is not str or name.count(":") != 1:
        raise TypeError(f"the name of a class is 'module:qualname', not {name!r}")
    return tuple(name.split(":"))


cdef list names_before(object cls):
    return [split_name(name) for name in cls.__dict__.get("__p_aliases__", ())]


cdef object loaded_class(str module, str qualname):
    """The class if its module is imported already, or None.  Runs no user code."""
    if module == "pmemobj" and qualname == "PersistentObject":
        return PersistentObject
    found = class_of_name(module, qualname)
    if found is None:
        alias = aliases.get((module, qualname))
        found = alias() if alias is not None else None
    return found


cdef object class_of_name(str module, str qualname):
    at = sys.modules.get(module)
    for part in qualname.split("."):
        if not PyType_Check(at) and type(at) is not types.ModuleType:
            return None
        at = (type if PyType_Check(at) else types.ModuleType).__dict__["__dict__"].__get__(at).get(part)
    return at if is_class(at) else None


cdef str why_missing(str module, str qualname):
    """Why an object of this class is a placeholder, and what to do."""
    what = f"its class {module}.{qualname} was not found when it was read"
    if loaded_class(module, qualname) is not None:
        return f"{what}, but is there now: let go of this object and read it again"
    if module == "__main__":
        return f"{what}: it was stored by the program that defines it; move the class into a module"
    if module not in sys.modules:
        return f"{what}, and pmemobj imports nothing that a pool names: import {module} before reading it"
    return f"{what}: {module} has no such subclass of PersistentObject"


cdef int check_storable(object cls, str module, str qualname) except -1:
    """Raises TypeError for a class that a later process could not find, or whose attributes would not be stored."""
    what = f"objects of {module}.{qualname} cannot be stored:"
    if "<locals>" in qualname:
        raise TypeError(f"{what} a class defined inside a function cannot be found again; define it in its module")
    if cls is PersistentObject:
        return 0
    try:
        at = sys.modules[module]
        for part in qualname.split("."):
            at = getattr(at, part)
    except (KeyError, AttributeError):
        raise TypeError(f"{what} {module!r} has no attribute {qualname!r}, so it could not be found again") from None
    if at is not cls:
        raise TypeError(f"{what} {module}.{qualname} is another class now, so it could not be found again")
    for base in cls.__mro__:
        if base is PersistentObject:
            break
        for name, value in vars(base).items():
            if type(value) is types.MemberDescriptorType and not name.startswith(VOLATILE):
                raise TypeError(f"{what} its attribute {name!r} is in __slots__, which would make it volatile")
    return 0


cdef ClassInfo new_info():
    """Of no class yet."""
    cdef ClassInfo info = ClassInfo.__new__(ClassInfo)
    info.names = []
    info.class_names = []
    info.index = {}
    info.version_field = -1
    info.clear_cells(1)
    return info


cdef bint stands_before(object cls, str name, PyObject *descriptor) except -1:
    """What the class has under the name, `descriptor` or NULL, or the interpreter itself goes before what a pool has.

    Data descriptors, as always.  But a pool may come from somebody who gave an object an attribute with the name of a
    method, and a function for its value, which the program would call: so methods do, too, unless the class declares
    the field.  And special names, because copy, pickle and others ask the object for them, and call what they find.
    """
    if is_dunder(name):
        return True
    if descriptor == NULL:
        return False
    if pm_is_data_descriptor(descriptor):
        return True
    return pm_is_method(descriptor) and name not in typed_fields.declared(cls).fields


cdef class ClassInfo:

    def __dealloc__(self):
        free(self.fast.cells)

    cdef int clear_cells(self, size_t size) except -1:
        """An empty table of `size` cells: everything goes the slow way."""
        cdef pm_name *cells = <pm_name *>calloc(size, sizeof(pm_name))
        if cells == NULL:
            raise MemoryError()
        free(self.fast.cells)
        self.fast.cells = cells
        self.fast.mask = size - 1
        self.fast.used = 0
        self.fast.version = 0
        return 0

    cdef int learn(self, str name, object o, int kinds=0) except -1:
        """The next field has this name; the class of o, unless it is None, has no data descriptor of it, and lets it
        have these values.  Runs no Python code."""
        cdef Py_ssize_t field = len(self.names)
        name = sys.intern(name)
        self.names.append(name)
        self.index[name] = field
        if name == VERSION_FIELD:
            self.version_field = field
            self.looked_at = 0
        if o is not None and pm_is_type(o, self.fast.version) and 2 * self.fast.used < self.fast.mask:
            self.add_field(name, field, kinds)
        else:
            self.fast.version = 0
        return 0

    cdef int cut(self, Py_ssize_t count) except -1:
        """Forgets the names that the record does not have any more."""
        if len(self.names) > count:
            self.clear_cells(1)
            for name in self.names[count:]:
                del self.index[name]
            del self.names[count:]
            if self.version_field >= count:
                self.version_field = -1
                self.looked_at = 0
        return 0

    cdef int add_cell(self, object name, Py_ssize_t field, Py_ssize_t settable, unsigned kinds) except -1:
        cdef pm_name *cell = pm_name_cell(&self.fast, name)
        if cell.name == NULL:
            self.fast.used += 1
        cell.name = <PyObject *>name
        cell.field = field
        cell.settable = settable
        cell.kinds = kinds
        return 0

    cdef int add_field(self, str name, Py_ssize_t field, int kinds) except -1:
        """kinds: of values that may be stored on the fast way; -1: any."""
        return self.add_cell(name, field, field if kinds < 0 else PM_TYPED, 0 if kinds < 0 else kinds)

    cdef int refresh(self, object cls) except -1:
        """Makes the fast way for this class."""
        cdef PyObject *descriptor
        cdef size_t size = 8
        cdef Py_ssize_t i
        cdef unsigned version
        declared = typed_fields.known(cls)            # None: until that is known, values go the slow way
        while size < 3 * <size_t>(len(self.names) + len(self.class_names)) + 4:
            size *= 2
        self.clear_cells(size)
        pm_type_lookup(cls, "__class__")        # gives the class a version tag
        version = pm_type_version(cls)
        if version == 0:                        # the interpreter has none left
            return 0
        for name in self.class_names:
            if pm_type_lookup(cls, name) != NULL:
                self.add_cell(name, PM_OF_CLASS, PM_OF_CLASS, 0)
        for i in range(len(self.names)):
            name = self.names[i]
            if i == self.version_field:
                continue
            descriptor = pm_type_lookup(cls, name)
            if not stands_before(cls, name, descriptor):
                self.add_field(name, i, 0 if declared is None else declared.kinds(name))
        self.fast.version = version
        return 0

    cdef int met_in_class(self, object o, str name) except -1:
        """The class of o has an attribute of this name, and nothing is stored under it."""
        if not pm_is_interned(name):
            return 0
        if not pm_is_type(o, self.fast.version):
            self.refresh(type(o))
        if self.fast.version == 0 or pm_name_cell(&self.fast, name).name != NULL:
            return 0
        self.class_names.append(name)
        if 2 * self.fast.used < self.fast.mask:
            return self.add_cell(name, PM_OF_CLASS, PM_OF_CLASS, 0)
        return self.refresh(type(o))

    cdef Py_ssize_t field_of(self, object cls, str name) except -2:
        """The field of this name, or -1: there is none, or something of the class stands before it."""
        cdef PyObject *descriptor
        found = self.index.get(name)
        if found is None:
            return -1
        descriptor = pm_type_lookup(cls, name)
        return -1 if stands_before(cls, name, descriptor) else found


cdef class ClassTable:

    def __cinit__(self, *args, **kwargs):
        self.infos = []
        self.by_class = {}
        self.by_name = {}

    cdef ClassInfo info(self, Pool pool, uint32_t class_id):
        """The entry of that number.  Runs no user code."""
        cdef ClassInfo info
        cdef pm_vec *stored
        cdef pm_vec *record
        cdef uint64_t i, slot
        cdef str name
        if class_id >= stored_classes(pool):
            raise errors.PoolDamagedError(f"{pool.path}: an object has the class number {class_id}, which is not known")
        while class_id >= <uint32_t>len(self.infos):
            stored = items_of(pool, pool.p.root.types_slot & PM_OFFSET_MASK)
            info = new_info()
            info.class_id = len(self.infos)
            slot = vec_at(pool, stored, info.class_id, 1)[0]
            info.record = slot & PM_OFFSET_MASK
            record = items_of(pool, info.record) if is_list(pool, slot) else NULL
            if record == NULL or record.size < RECORD_HEAD:
                raise errors.PoolDamagedError(f"{pool.path}: entry {info.class_id} of the type table is damaged")
            info.module = text_at(pool, record, 0)
            info.qualname = text_at(pool, record, 1)
            for i in range(RECORD_HEAD, record.size):
                info.learn(text_at(pool, record, i), None)
            self.keep(info)
        info = <ClassInfo>(<list>self.infos)[class_id]
        if info.cls is None:
            info.cls = loaded_class(info.module, info.qualname)
            if info.cls is not None:
                self.by_class[info.cls] = info
        return info

    def class_name(self, Pool pool not None, uint32_t class_id):
        """The name under which the class of that number is stored."""
        cdef ClassInfo info
        pool_check_read(pool)
        info = self.info(pool, class_id)
        return f"{info.module}.{info.qualname}"

    def catch_up(self, Pool pool not None):
        """Another process may have given classes more names since.  Runs no user code."""
        cdef ClassInfo info
        cdef pm_vec *record
        cdef uint64_t i
        for info in self.infos:
            record = items_of(pool, info.record)
            for i in range(RECORD_HEAD + len(info.names), record.size):
                info.learn(text_at(pool, record, i), None)

    cdef int keep(self, ClassInfo info) except -1:
        self.infos.append(info)
        self.by_name[info.module, info.qualname] = info
        return 0

    cdef ClassInfo info_for(self, Pool pool, object cls):
        """The entry of a class; added in an operation if there is none."""
        cdef uint32_t count = stored_classes(pool)
        cdef ClassInfo info = self.by_class.get(cls)
        cdef str module, qualname
        if info is not None and info.class_id < count:
            return info
        module, qualname = names_of(cls)
        check_storable(cls, module, qualname)
        names = typed_fields.declared(cls).names(cls)
        pool_check_read(pool)
        count = stored_classes(pool)
        if count:
            self.info(pool, count - 1)          # all of them are known now
        for name in [(module, qualname), *names_before(cls)]:
            info = self.by_name.get(name)
            if info is not None and info.class_id < count:
                info.cls = cls                  # defined anew, or not yet looked for
                self.by_class[cls] = info
                return info
        return self.add(pool, cls, module, qualname, names)

    def rename(self, Pool pool not None, old, new):
        """See pool.rename_class(); outside of transactions."""
        cdef ClassInfo info
        cdef uint32_t count
        cdef tuple before = split_name(old), after = split_name(new)
        pool_check_read(pool)
        count = stored_classes(pool)
        if count:
            self.info(pool, count - 1)          # all of them are known now
        info = self.by_name.get(before)
        if info is None:
            known = ", ".join(sorted(f"{module}:{name}" for module, name in self.by_name)) or "none"
            raise KeyError(f"no class {old!r} has objects in {pool.path}; those that have: {known}")
        if after in self.by_name:
            raise ValueError(f"{new!r} has a record of its own in {pool.path}, for its own objects")
        op_begin(pool)
        try:
            set_text(pool, info.record, 0, after[0])
            set_text(pool, info.record, 1, after[1])
        except BaseException:
            op_abort(pool)
            raise
        op_end(pool)
        del self.by_name[before]
        self.by_class.pop(info.cls, None)
        info.cls = None
        info.module, info.qualname = after
        self.by_name[after] = info

    cdef ClassInfo add(self, Pool pool, object cls, str module, str qualname, list names):
        """names: of its first fields, which are declared."""
        cdef uint32_t count = stored_classes(pool)
        cdef ClassInfo info, undone
        cdef uint64_t types
        for undone in self.infos[count:]:       # added in a transaction that was undone
            self.by_name.pop((undone.module, undone.qualname), None)
            self.by_class.pop(undone.cls, None)
        del self.infos[count:]
        info = new_info()
        info.module = module
        info.qualname = qualname
        info.cls = cls
        info.class_id = count
        op_begin(pool)
        try:
            if pool.p.root.types_slot and not is_list(pool, pool.p.root.types_slot):
                raise errors.PoolDamagedError(f"{pool.path}: the type table is not where the root block says")
            if pool.p.root.types_slot == 0:
                pm_store(pool.p, &pool.p.root.types_slot,
                         PM_REFERENCE(PM_REF_OBJECT, object_new(pool, PM_TYPE_LIST, sizeof(pm_list), True)))
            types = pool.p.root.types_slot & PM_OFFSET_MASK
            info.record = object_new(pool, PM_TYPE_LIST, sizeof(pm_list), True)
            append_slot(pool, info.record, module)
            append_slot(pool, info.record, qualname)
            for name in names:
                append_slot(pool, info.record, name)
            append_slot(pool, types, info.record)
        except BaseException:
            op_abort(pool)
            raise
        op_end(pool)
        for name in names:
            info.learn(name, None)
        self.keep(info)
        self.by_class[cls] = info
        return info
