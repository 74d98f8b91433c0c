// The shapes of docs/api.md, for the type checker. Absent is null; times are milliseconds since the Unix epoch.

/** @typedef {"online" | "stale" | "offline" | "catching_up"} HostState */
/** @typedef {"info" | "warn" | "crit"} Severity */
/** @typedef {"ok" | "warn" | "crit" | "stale" | "info"} Tone how a status is drawn: shape and colour */

/**
 * @typedef {object} Problem
 * @property {"warn" | "crit"} severity
 * @property {string} kind
 * @property {string} key
 * @property {string} subject
 * @property {string} message
 * @property {number | null} since_ms
 */

/**
 * @typedef {object} GpuSummary
 * @property {string} key
 * @property {string | null} name
 * @property {string} state
 * @property {number | null} utilization_percent
 * @property {number | null} memory_used_bytes
 * @property {number | null} memory_total_bytes
 * @property {number | null} temperature_celsius
 * @property {number | null} power_watts
 */

/**
 * @typedef {object} Summary
 * @property {number | null} cpu_percent
 * @property {number | null} cpu_count
 * @property {number | null} memory_used_bytes
 * @property {number | null} memory_total_bytes
 * @property {GpuSummary[]} gpus
 * @property {{ key: string, used_percent: number } | null} fullest_mount
 * @property {{ running: number, total: number, crash_loops: number, unhealthy: number } | null} containers null where there is no Docker
 * @property {string | null} os
 * @property {string | null} kernel
 * @property {string | null} architecture
 * @property {number | null} boot_time_ms
 */

/**
 * @typedef {object} Host
 * @property {number} id
 * @property {string} name
 * @property {HostState} state
 * @property {number | null} last_seen_ms
 * @property {number | null} connected_since_ms
 * @property {string | null} agent_version
 * @property {string | null} address
 * @property {number | null} clock_offset_ms
 * @property {number | null} round_trip_ms
 * @property {number | null} interval_ms
 * @property {{ behind_ms: number, batches_left: number } | null} catching_up history that is still to come
 * @property {Problem[]} problems worst first
 * @property {Summary} summary
 */

/** @typedef {{ kind: string, key: string, values: (number | null)[] }} Row values in the catalogue's order */

/**
 * @typedef {object} InventoryDocument
 * @property {string} kind
 * @property {string} key
 * @property {number} observed_ms
 * @property {any} body null: the entity is gone
 */

/** @typedef {Host & { documents: InventoryDocument[], rows: Row[], tick_ms: number | null }} HostDetail */

/**
 * @typedef {object} HostEvent
 * @property {string} id
 * @property {number} host_id
 * @property {number} at_ms
 * @property {string} kind
 * @property {string} key
 * @property {string} subject
 * @property {Severity} severity
 * @property {string} fact
 * @property {any} detail
 */

/**
 * @typedef {object} CommandView
 * @property {string} id
 * @property {number} host_id
 * @property {string} host
 * @property {string} action `container.restart`
 * @property {string} subject
 * @property {any} detail the action as it was asked
 * @property {string} by
 * @property {number} asked_ms
 * @property {number} deadline_ms
 * @property {"queued" | "sent" | "running" | "finished"} state
 * @property {string | null} outcome
 * @property {string | null} asked
 * @property {string | null} observed
 * @property {string | null} reason
 * @property {number | null} began_ms
 * @property {number | null} ended_ms
 * @property {number | null} exit_code
 * @property {{ head: string, tail: string, dropped_bytes: number } | null} output null where it is left out
 * @property {boolean} late
 * @property {{ at_ms: number, text: string }[]} steps
 * @property {boolean} cancel_requested
 * @property {string | null} bulk_id
 * @property {string | null} waiting_for
 */

/** @typedef {"error" | "warn" | "info" | "debug"} LogLevel */
/** @typedef {{ source: number, host_id: number, host: string, kind: "container" | "unit" | "file", name: string }} LogPlace */

/** @typedef {"raw" | "minutes" | "quarters"} SeriesSource samples, or means of minutes or of quarters of an hour */

/**
 * @typedef {object} SeriesAnswer
 * @property {number} from_ms
 * @property {number} to_ms
 * @property {number} step_ms
 * @property {SeriesSource} source
 * @property {number[]} times_ms
 * @property {{ key: string, metric: string, avg: (number | null)[], min: (number | null)[], max: (number | null)[] }[]} series
 */

/** @typedef {{ name: string, unit: string, help: string }} Metric */
/** @typedef {Record<string, Metric[]>} Catalogue metrics of each kind, in order */
/** @typedef {{ host_id: number, tick_ms: number, taken_ms: number, rows: Row[] }} Samples */
/** @typedef {Record<string, number | null>} Values a row by metric name */

/**
 * What the page knows of the chosen host.
 * @typedef {object} HostView
 * @property {number} id
 * @property {"loading" | "ready" | "missing"} status
 * @property {Map<string, Map<string, InventoryDocument>>} documents kind → key → document, gone ones left out
 * @property {Map<string, Map<string, Values>>} rows kind → key → newest numbers
 * @property {number | null} tickMs
 */

