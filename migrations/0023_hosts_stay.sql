-- Nothing removes a host: what may speak for it is revoked with its agent.

alter table hosts drop column removed_at;
