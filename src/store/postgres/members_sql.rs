//! What members say to the database, as text: each statement on one line of thought, with the schema's name put in.

/// All statements for one schema.
#[derive(Debug)]
pub(super) struct Sql {
    pub(super) join_locks: String,
    pub(super) join: String,
    pub(super) renew: String,
    pub(super) count: String,
    pub(super) numbers: String,
    pub(super) raise: String,
    pub(super) say: String,
    pub(super) fences: String,
    pub(super) acks: String,
    pub(super) members: String,
    pub(super) cut: String,
    pub(super) leave: String,
    pub(super) forget: [String; 3],
    pub(super) notify: String,
    pub(super) listen: String,
}

/// A reader who has seen a number has seen all smaller ones: whoever takes a number holds this row until it is committed. So
/// does who joins: either it reads the fences that stand, or their owners see it.
const COUNT: &str = "UPDATE {s}.seq SET n = n + $1 WHERE one";

/// Nothing is written by a member that was cut.
const RENEW: &str = "UPDATE {s}.members SET renewed = clock_timestamp(), seen = $2 WHERE id = $1 AND state = 'up'";

const JOIN: &str = "INSERT INTO {s}.members (id, name, ttl_ms, straggle_ms, state, renewed, seen, joined) \
     VALUES ($1, $2, $3, $4, 'up', clock_timestamp(), 0, (SELECT n FROM {s}.seq WHERE one)) \
     ON CONFLICT (id) DO NOTHING";

/// One that arrives late, after a newer version, changes nothing.
const RAISE: &str = "INSERT INTO {s}.fences (id, owner, tag, version, n, body, ends) \
     SELECT t.id, $1, t.tag, t.version, $7 + t.place, t.body, clock_timestamp() + t.life_ms * interval '1 millisecond' \
     FROM unnest($2::uuid[], $3::bytea[], $4::bigint[], $5::bytea[], $6::bigint[]) \
     WITH ORDINALITY AS t(id, tag, version, body, life_ms, place) \
     ON CONFLICT (id) DO UPDATE SET owner = EXCLUDED.owner, version = EXCLUDED.version, n = EXCLUDED.n, body = EXCLUDED.body, \
     ends = EXCLUDED.ends WHERE {s}.fences.version < EXCLUDED.version";

const SAY: &str = "INSERT INTO {s}.acks (fence, member, body) \
     SELECT t.fence, $1, t.body FROM unnest($2::uuid[], $3::bytea[]) AS t(fence, body) \
     ON CONFLICT (fence, member) DO UPDATE SET body = EXCLUDED.body";

const FENCES: &str = "SELECT id, owner, tag, n, body FROM {s}.fences \
     WHERE n > $2 AND owner <> $1 AND ends > clock_timestamp() ORDER BY n";

const ACKS: &str =
    "SELECT a.fence, a.member, a.body FROM {s}.acks a JOIN {s}.fences f ON f.id = a.fence WHERE f.owner = $1";

const MEMBERS: &str = "SELECT id, name, state, ttl_ms, seen, joined, \
     CAST(extract(epoch FROM clock_timestamp() - renewed) * 1000 AS bigint), \
     CAST(extract(epoch FROM renewed - clock_timestamp()) * 1000 AS bigint) + straggle_ms FROM {s}.members \
     WHERE state = 'up' OR renewed + straggle_ms * interval '1 millisecond' > clock_timestamp()";

const CUT: &str = "UPDATE {s}.members SET state = 'cut' WHERE id = $1 AND state = 'up' \
     AND renewed + 2 * ttl_ms * interval '1 millisecond' < clock_timestamp()";

const LEAVE: &str = "UPDATE {s}.members SET state = 'ended', renewed = clock_timestamp(), straggle_ms = $2 \
     WHERE id = $1 AND state = 'up'";

const FORGET: [&str; 3] = [
    "DELETE FROM {s}.fences WHERE ends < clock_timestamp()",
    "DELETE FROM {s}.acks WHERE fence NOT IN (SELECT id FROM {s}.fences)",
    "DELETE FROM {s}.members WHERE state <> 'up' \
     AND renewed + straggle_ms * interval '1 millisecond' + interval '1 hour' < clock_timestamp()",
];

impl Sql {
    pub(super) fn new(schema: &str) -> Self {
        let quoted = format!("\"{schema}\"");
        let put = |text: &str| text.replace("{s}", &quoted);
        Self {
            join_locks: put("SELECT n FROM {s}.seq WHERE one FOR UPDATE"),
            join: put(JOIN),
            renew: put(RENEW),
            count: put(COUNT),
            numbers: put("SELECT n FROM {s}.seq WHERE one"),
            raise: put(RAISE),
            say: put(SAY),
            fences: put(FENCES),
            acks: put(ACKS),
            members: put(MEMBERS),
            cut: put(CUT),
            leave: put(LEAVE),
            forget: FORGET.map(put),
            notify: format!("NOTIFY \"{schema}_members\""),
            listen: format!("LISTEN \"{schema}_members\""),
        }
    }
}
