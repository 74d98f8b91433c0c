-- 0008 says that documents may come in any order. One order is not mended there:

comment on function put_document(integer, smallint, text, timestamptz, jsonb, uuid) is
    'Takes one document in. They may come late, twice and in any order, but a "gone" that comes before the document that '
    'it ends finds nothing to end. Within an epoch they come in order; what an earlier epoch brings so late is ended as '
    'unconfirmed by the running one.';
