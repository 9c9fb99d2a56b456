-- Clocks of rollouts count the time in which the control plane was healthy; their columns say so.
ALTER TABLE rollout RENAME COLUMN calm_s TO healthy_s;
ALTER TABLE rollout RENAME COLUMN wave_calm_s TO wave_healthy_s;
ALTER TABLE rollout RENAME COLUMN soak_calm_s TO soak_healthy_s;
ALTER TABLE rollout_host RENAME COLUMN since_calm_s TO since_healthy_s;
ALTER TABLE rollout_host RENAME COLUMN away_calm_s TO away_healthy_s;
