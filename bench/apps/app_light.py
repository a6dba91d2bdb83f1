"""What a supervise worker imports to offer the bench's jobs, and nothing else."""

import jobs

import supervise

for job in jobs.ALL:
    supervise.task(job)
