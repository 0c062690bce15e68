"""Which questions and answers wait for what, as statements over the tables of Flower's link state."""

# Questions that a node has confirmed, and to which no answer is here whole.
TAKEN = (
    "SELECT message_id FROM message_ins WHERE dst_node_id = :node AND delivered_at != '' "
    "AND NOT EXISTS (SELECT 1 FROM objects WHERE objects.object_id = message_ins.message_id) "
    "AND NOT EXISTS (SELECT 1 FROM message_res WHERE message_res.reply_to_message_id = message_ins.message_id "
    "AND NOT EXISTS (SELECT 1 FROM object_push_session_roots JOIN object_push_session_pending USING (session_id) "
    "WHERE root_object_id = message_res.message_id))"
)
# Questions to a node that were given out, whose objects are still kept for it, and that have no answer.
UNCONFIRMED = (
    "(dst_node_id = :node AND delivered_at != '' "
    "AND EXISTS (SELECT 1 FROM objects WHERE objects.object_id = message_ins.message_id) "
    "AND NOT EXISTS (SELECT 1 FROM message_res WHERE message_res.reply_to_message_id = message_ins.message_id))"
)
GIVE_AGAIN = f"UPDATE message_ins SET delivered_at = '' WHERE {UNCONFIRMED}"  # noqa: S608  # no value is put in
# Questions that were given out again, and were answered by a hospital that had them: they are not given once more.
ANSWERED = (
    "UPDATE message_ins SET delivered_at = 'answered' WHERE dst_node_id = :node AND delivered_at = '' "
    "AND EXISTS (SELECT 1 FROM message_res WHERE message_res.reply_to_message_id = message_ins.message_id)"
)
HAS_MAIL = (
    "SELECT 1 FROM message_ins WHERE dst_node_id = :node AND delivered_at = '' AND NOT EXISTS ("  # noqa: S608
    "SELECT 1 FROM message_res WHERE message_res.reply_to_message_id = message_ins.message_id) "
    f"OR {UNCONFIRMED}"
)

# Within one transaction: questions of other types than those that are asked for.
SET_ASIDE = (
    "UPDATE message_ins SET delivered_at = 'aside' WHERE dst_node_id = :node AND delivered_at = '' "
    "AND message_type NOT IN (SELECT value FROM json_each(:types))"
)
TAKE_BACK = "UPDATE message_ins SET delivered_at = '' WHERE dst_node_id = :node AND delivered_at = 'aside'"

# Answers that are here whole: nothing of them is still to be pushed.
COMPLETE = (
    "SELECT message_id, reply_to_message_id FROM message_res WHERE run_id = :run AND NOT EXISTS ("
    "SELECT 1 FROM object_push_session_roots JOIN object_push_session_pending USING (session_id) "
    "WHERE root_object_id = message_res.message_id)"
)

# Questions of a run, answered or not; and one that has no answer, nor a part of one.
ASKED = "SELECT message_id FROM message_ins WHERE run_id = :run"
UNANSWERED = (
    "SELECT 1 FROM message_ins WHERE message_id = :id AND NOT EXISTS ("
    "SELECT 1 FROM message_res WHERE reply_to_message_id = :id)"
)
