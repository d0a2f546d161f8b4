"""Mutants that no exploration notices, and why: a part of the mutant's name -> the reason."""

_NOT_DAX = (
    "only where the direct engine's file is not persistent memory, while the probes take every file for that; "
    "test_direct_engine_on_a_disk explores the other way"
)
_STAYS = (
    "the pool has been marked clean: a file that comes back after a power failure is known to be of no use"
)
_FRESH = "the object is fresh, and what was noted of it as a whole includes this word"
_FILLED = (
    "whoever makes room in a deque puts an item there in the same operation, which stores this word again"
)
_AGAIN = (
    "recovery may be repeated, and writes the same; an open puts a new log, with another salt, in this one's place "
    "before anything else is stored"
)
_STALE = (
    "the index validates itself: a cell that is left behind counts for nothing, and costs a step of a search"
)

EXPLAINED: dict[str, str] = {
    "io_msync in sync_pages": _NOT_DAX,
    "sync_pages in mark": _NOT_DAX,
    "io_fdatasync in flush_changes": _NOT_DAX,
    "io_fdatasync in direct_sync": _NOT_DAX,
    "direct_sync in ": _NOT_DAX,
    "io_sync_directory_of in undo_stop": _STAYS,
    "io_sync_directory_of in jr_stop": _STAYS,
    "io_fsync in make_file": "update_header has synced all of the new log just before",
    "update_header in change_header": (
        "when recovery marks the log empty, the generation has already gone up, which makes its entries void"
    ),
    "mark in __wrap_pmem_msync": "libpmemobj calls it for what is not persistent memory, and is told that all is",
    "pm_store in __pyx_f_7pmemobj_7_object_create": _FRESH,
    "mark_empty in recover_opened": _AGAIN,
    "jr_header_update in mark_empty": _AGAIN,
    "undo_finish in recover_opened": _AGAIN,
    "undo_finish in __pyx_f_7pmemobj_5_core_recover_directly": _AGAIN,
    "rewrite in replay": (
        "records that were read are written once more, in case that a sync failed before the crash and the kernel "
        "takes them for written; the model of a disk has no such kernel"
    ),
    "jr_drain in jr_begin_checkpoint": (
        "it only begins to apply what the log holds; what is in the ring stays there, and is applied later"
    ),
    "mark in __wrap_pmem_memmove": "libpmemobj calls it for pmemobj_memmove() alone, which nobody calls here",
    "mark in __wrap_pmem_deep_flush": "libpmemobj calls it for device DAX alone, and pools are files",
    "pm_store in __pyx_f_7pmemobj_7_values_fill_list": _FRESH,
    "pm_store in __pyx_f_7pmemobj_6_deque_create": _FRESH,
    "pm_store in __pyx_f_7pmemobj_7_sorted_new_tree": _FRESH,
    "pm_store in __pyx_f_7pmemobj_7_sorted_clear_tree": _FRESH,
    "pm_store (2) in __pyx_f_7pmemobj_7_sorted_clear_tree": _FRESH,
    "pm_store (3) in __pyx_f_7pmemobj_7_sorted_clear_tree": _FRESH,
    "in __pyx_f_7pmemobj_8_compact_6Copier_deque": _FRESH,
    "in __pyx_f_7pmemobj_8_compact_6Copier_buffer": _FRESH,
    "in __pyx_f_7pmemobj_8_compact_6Copier_array": _FRESH,
    "in __pyx_f_7pmemobj_8_compact_6Copier_fill": _FRESH,
    "pm_store (2) in __pyx_f_7pmemobj_8_compact_6Copier_instance": _FRESH,
    "in __pyx_f_7pmemobj_8_compact_copy_sorted": _FRESH,
    "pm_store (4) in __pyx_f_7pmemobj_5_core_deque_first": _FILLED,
    "pm_store (2) in __pyx_f_7pmemobj_5_core_deque_grow_right": _FILLED,
    "pm_store in __pyx_f_7pmemobj_5_core_deque_grow_left": _FILLED,
    "pm_store (2) in pm_table_forget": _STALE,
    "pm_fresh in __pyx_f_7pmemobj_5_core_first_directory": (
        "divide(), its only caller, stores both words again in the same operation"
    ),
    "raise_generation in direct_abort": (
        "the log's entries are images of what was put back just now, so they say the same until the next commit makes "
        "them void"
    ),
    "io_fdatasync (2) in replay": (
        "records that were read are durable before the header calls them so; the exploration takes what a killed "
        "program wrote for durable when the next one begins"
    ),
    "io_fdatasync in replay": (
        "the pages that records in the ring speak of are durable before these count; the exploration takes what a "
        "killed program wrote for durable when the next one begins"
    ),
    "pm_store (4) in __pyx_f_7pmemobj_7_sorted_divided": "the same word has been noted three lines before",
    "io_fdatasync in pf_grow": "the pool is mapped anew and marked live next, which syncs the file",
    "io_sync_directory_of in __pyx_pf_7pmemobj_5_core_28create_file": (
        "the pool is opened next, and its journal or undo log made, which syncs the directory"
    ),
    "pm_store (2) in __pyx_f_7pmemobj_7_sorted_fill_inner": (
        "the first key of an inner node is not used, and is stored again when its children move"
    ),
    "jr_drain in merger_main": (
        "the merger only works ahead: whoever needs the ring's records in the log drains it himself"
    ),
    "jr_drain in pm_relieve": "before private pages are dropped to save memory, which no exploration is short of",
}  # fmt: skip

#: Those that could be noticed, and are not yet.
OPEN: dict[str, str] = {
    "io_msync (2) in sync_parts": (
        "the length of a new segment of the log; the sync of its first records makes that durable, too, and nothing "
        "that was explored needed it before"
    ),
    "in __pyx_f_7pmemobj_5_core_index_drop": (
        "between two steps of giving back an index of more than 64 segments: with 70,000 entries and more, of which no "
        "image is made"
    ),
    "pm_store in pm_table_forget": (
        "a cell that stood around the end of a segment of the index before that was divided, and is now behind a "
        "younger one: no operation of the explorations meets one"
    ),
    "io_fdatasync in __pyx_f_7pmemobj_5_core_free_pending": (
        "a power failure after a recovery that has freed allocations, on a file that is not persistent memory: images "
        "of that are few"
    ),
}
