-- One set a sequence: what is stored here, and what will never come (forced out at the agent, or refused by this
-- database). Kept apart, the two fragment each other: an agent that is out of room gives up the samples
-- between the facts that it keeps. How many were lost is counted in quarantine.

update ledger set seqs = seqs + evicted where not isempty(evicted);
alter table ledger drop column evicted;
comment on column ledger.seqs is 'Need not come again: stored here, or known never to come.';
