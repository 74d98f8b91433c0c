//! Sessions, passwords and tokens of people, and back-off after wrong passwords.

use std::time::Duration;

/// Life of a login, whatever happens.
pub const SESSION_ABSOLUTE: Duration = Duration::from_secs(24 * 3600);

/// Life of a login without a call; an open stream is no call.
pub const SESSION_IDLE: Duration = Duration::from_secs(12 * 3600);

/// Sessions of one person: some browsers on each of a dozen devices. Beyond it the one not used for longest ends.
pub const SESSIONS_PER_USER: i64 = 64;

/// How exactly the last use is noted: a write a minute, not one a call.
pub const SESSION_TOUCH_EVERY: Duration = Duration::from_secs(60);

/// Shortest new password.
pub const PASSWORD_MIN_CHARS: usize = 10;

/// Longest password: hashing takes time by length.
pub const PASSWORD_BYTES: usize = 1_024;

/// Longest name that anybody can have.
pub const USER_NAME_CHARS: usize = 64;

/// Password hashes computed at once: 19 MiB and a core each; further ones wait.
pub const ARGON2_AT_ONCE: usize = 2;

/// Failed logins of one address at one account before it must wait.
pub const LOGIN_FREE: u32 = 5;

/// Longest such wait: it doubles up to here.
pub const LOGIN_WAIT_MAX: Duration = Duration::from_secs(60);

/// Failed logins at one account, from anywhere, before it answers more slowly.
pub const LOGIN_ACCOUNT_FREE: u32 = 20;

/// Added delay for each further one, and at most: its owner can always get in.
pub const LOGIN_DELAY_STEP: Duration = Duration::from_millis(100);
pub const LOGIN_DELAY_MAX: Duration = Duration::from_secs(2);

/// Quiet time after which failures are forgotten.
pub const LOGIN_FORGET_AFTER: Duration = Duration::from_secs(900);

/// Accounts and addresses whose failures are remembered, about 1 MiB; the least guilty are forgotten first.
pub const LOGIN_KEYS: usize = 10_000;

/// A wrong name or password is told no sooner than this: longer than the slowest hash that is accepted takes, so that
/// the time tells nobody which names exist.
pub const LOGIN_REFUSED_AFTER: Duration = Duration::from_millis(400);

/// How long a password counts as given just now, for what destroys or costs.
pub const FRESH_FOR: Duration = Duration::from_secs(300);

/// Costs of password hashes from elsewhere: what takes less than [`LOGIN_REFUSED_AFTER`] (bcrypt of cost 12 some 250 ms,
/// argon2id with these 200 ms). Beyond them they are refused, and a one-time link sets the password anew.
pub const BCRYPT_COST_MAX: u32 = 12;
pub const ARGON2_MEMORY_KIB_MAX: u32 = 64 * 1024;
pub const ARGON2_TIME_MAX: u32 = 4;

/// Life of a one-time link for somebody new, or who forgot the password.
pub const LINK_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How long a browser in which somebody has logged in is known after that; and how many of one person, a dozen of
/// devices and as many profiles. Full: the one not used for longest is forgotten, which costs it only its exemption.
pub const DEVICE_KNOWN: Duration = Duration::from_secs(90 * 24 * 3600);
pub const DEVICES_PER_USER: i64 = 24;

/// Characters kept of a browser's name for itself.
pub const USER_AGENT_CHARS: usize = 256;

/// Good API tokens of one person: one for each script. Full: revoke one first.
pub const TOKENS_PER_USER: i64 = 50;

/// Life of an API token, in days: of one that does not say, and at most.
pub const TOKEN_DAYS: u32 = 90;
pub const TOKEN_DAYS_MAX: u32 = 366;

/// People that may be there: a list that one page shows. Full: nobody can be added.
pub const USERS: usize = 1_000;

/// How long a password that came by HTTP Basic is not hashed again, and how many are remembered. Full: all are
/// forgotten, and hashed once more.
pub const BASIC_REMEMBERED_FOR: Duration = Duration::from_secs(60);
pub const BASIC_REMEMBERED: usize = 1_024;

/// How often a live stream looks whether its caller may still have it.
pub const STREAM_LOOK: Duration = Duration::from_secs(60);

/// By how much the clock of whoever issues JWTs may differ from ours.
pub const JWT_LEEWAY: Duration = Duration::from_secs(60);

/// Keys in a JWKS file: two, while one replaces the other, and as many for each of several uses.
pub const JWT_KEYS: usize = 16;

/// Bytes of a file with keys for JWTs.
pub const JWT_KEY_BYTES: u64 = 64 * 1024;
