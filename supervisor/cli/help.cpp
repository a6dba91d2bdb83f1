#include "help.hpp"

namespace supervise::cli {

const char* const main_footer =
    R"(Examples:
  supervise check workers.toml             is the config right?
  supervise --config workers.toml          run the pools in the foreground
  supervise status --watch                 see them
  supervise submit reports reports.tasks.build 42 --wait
  supervise why 812                        what happened to job 812
`supervise COMMAND --help` has more of each.

Which supervisor: every command but run and check talks to RUNTIME_DIR/control.sock. The
directory is --runtime-dir, or that of --config's file, or the first of
$SUPERVISE_RUNTIME_DIR, $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/supervise and
/tmp/supervise-UID.

Exit codes: 0 done; 1 failed, or refused for good; 64 the command line is wrong;
69 no supervisor there; 75 refused for now, try again; 78 the config is wrong.
)";

const char* const run_footer =
    R"(Example: supervise run --config /etc/supervise/workers.toml
Signals: TERM or INT drain and end, a second one ends the grace; HUP applies the changed
config; USR1 opens the log file anew and logs what goes on.
)";

const char* const check_footer =
    R"(Example: supervise check workers.toml
Prints the effective values, defaults included, as TOML; or every error at once as
FILE:LINE:COLUMN: error: MESSAGE, and exits with 78.
)";

const char* const status_footer =
    R"(Examples:
  supervise status                     one screen
  supervise status --watch 5           again every 5 s until Ctrl-C
  supervise status --json | jq .pools  for programs; docs/OPERATING.md has the keys
)";

const char* const doctor_footer =
    R"(Example: supervise doctor
Asks the running supervisor which tier this host gave it, why not a better one, and how it
does each thing: on, emulated or off.
)";

const char* const submit_footer =
    R"(An ID is a whole number, a UUID, or a text: 42, 7f0c52e6-..., report-7. `text:42` is the
text "42". A text that begins with a dash goes behind --.

Examples:
  supervise submit reports reports.tasks.build 42           prints the job's ID
  supervise submit reports reports.tasks.build 42 --wait    prints its result
  supervise submit reports reports.tasks.build -- -draft    the ID is the text "-draft"
With --wait a job that is not done exits with 1 and says why on stderr.
)";

const char* const recycle_footer =
    R"(Examples:
  supervise recycle reports               all of the pool's workers, a few at a time
  supervise recycle reports/2             the worker in slot 2
  supervise recycle reports --template    the template, then all workers
  supervise recycle work --front          the front of a Celery pool
Each finishes its job first, and its successor is ready before it goes. With --template the
application is imported anew (changed code, too) and the present workers go on until that has
succeeded; it takes a pool with preload = true. With --front a second front consumes before the
first one stops, and finishes what it holds; tasks go on meanwhile.
)";

const char* const scale_footer =
    R"(Example: supervise scale reports 8
Holds until the next reload or restart; the config file stays as it is.
)";

const char* const pause_footer =
    R"(Example: supervise pause reports
Running jobs go on, new ones wait in the queue until `supervise resume reports`.
)";

const char* const resume_footer =
    R"(Example: supervise resume reports
Undoes pause, and lets a pool that its crash loop stopped (degraded) try again.
)";

const char* const reload_footer =
    R"(Example: supervise reload
Reads the config file again, as SIGHUP does, and prints what changed. With an error in the
file nothing changes. Templates import their applications anew.
)";

const char* const stop_footer =
    R"(Example: supervise stop --wait
Drains as SIGTERM does: no new job begins, running ones have the pool's grace time. With
--wait it returns when the supervisor has gone.
)";

const char* const why_footer =
    R"(Examples:
  supervise why 812          a job: its attempts, how each ended, on what evidence
  supervise why reports/2    a slot: its worker and the ones before it
)";

}  // namespace supervise::cli
