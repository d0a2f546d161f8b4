"""SQLAlchemy's Core on SQLite with a write-ahead log; its ORM would cost more."""

from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    select,
)
from sqlalchemy.dialects.sqlite import insert

from benchmarks.peers.store import Store

metadata = MetaData()
kv = Table(
    "kv",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", Integer, nullable=False),
    sqlite_with_rowid=False,
)
_insert = insert(kv)
PUT = _insert.on_conflict_do_update(index_elements=[kv.c.key], set_={"value": _insert.excluded.value})
GET = select(kv.c.value).where(kv.c.key == bindparam("wanted"))
DELETE = delete(kv).where(kv.c.key == bindparam("wanted"))


class SqlalchemyStore(Store):
    package = "SQLAlchemy"
    has_bulk = True

    def __init__(self, directory, synchronous):
        super().__init__(directory)
        self.synchronous = synchronous

    def open(self):
        self.engine = create_engine(f"sqlite:///{self.directory / 'store.sqlite'}")

        @event.listens_for(self.engine, "connect")
        def configure(connection, _record):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self.synchronous}")

        metadata.create_all(self.engine)
        self.connection = self.engine.connect()

    def close(self):
        self.connection.close()
        self.engine.dispose()

    def get(self, keys):
        with self.connection.begin():
            execute = self.connection.execute
            for key in keys:
                execute(GET, {"wanted": key}).scalar()

    def put_single(self, items):
        connection = self.connection
        for key, value in items:
            with connection.begin():
                connection.execute(PUT, {"key": key, "value": value})

    def put_batch(self, items):
        with self.connection.begin():
            execute = self.connection.execute
            for key, value in items:
                execute(PUT, {"key": key, "value": value})

    def put_bulk(self, items):
        with self.connection.begin():
            self.connection.execute(PUT, [{"key": key, "value": value} for key, value in items])

    def delete(self, keys):
        with self.connection.begin():
            self.connection.execute(DELETE, [{"wanted": key} for key in keys])

    def items(self):
        with self.connection.begin():
            yield from self.connection.execute(select(kv.c.key, kv.c.value))

    def iterate(self):
        with self.connection.begin():
            for _key, _value in self.connection.execute(select(kv.c.key, kv.c.value)):
                pass

    def values(self, keys):
        with self.connection.begin():
            for key in keys:
                found = self.connection.execute(GET, {"wanted": key}).scalar()
                if found is None:
                    raise KeyError(key)
                yield found
