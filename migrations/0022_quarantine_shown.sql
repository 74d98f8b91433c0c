-- When the last one came: pages say it. Reasons by now: `time`, `refused` (0010); `evicted`: forced out at the
-- agent; `size`, `entities`, `documents`: beyond what one host may have; `rate`: held back, not lost.

alter table quarantine add column last_at timestamptz;
update quarantine set last_at = hour;
alter table quarantine alter column last_at set not null;
