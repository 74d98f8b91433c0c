-- Entities of which nothing is stored any more are forgotten. This goes up each time that some were: whoever
-- remembers numbers of entities compares it, under the lock that forgetting takes alone, and asks anew.

alter table packing add column forgettings bigint not null default 0;
