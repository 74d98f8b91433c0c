-- A sequence is a host's, whichever of its agents' keys it comes with: an agent that is enrolled again sends what it
-- holds with its new key. Where it has done so before, what either brought is known of both.

update ledger set seqs = known.seqs
    from (select host_id, epoch, range_agg(part) as seqs from ledger, unnest(ledger.seqs) as part
          group by host_id, epoch having count(distinct agent_id) > 1) as known
    where ledger.host_id = known.host_id and ledger.epoch = known.epoch;
delete from ledger as one using ledger as other
    where one.host_id = other.host_id and one.epoch = other.epoch
    and (one.updated_at, one.agent_id) < (other.updated_at, other.agent_id);

alter table ledger drop constraint ledger_pkey;
alter table ledger drop column agent_id;
alter table ledger add primary key (host_id, epoch);
