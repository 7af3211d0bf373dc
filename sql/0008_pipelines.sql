-- The pipelines shipped with the product. Operators may change the rows.

INSERT INTO media.pipelines (name, description, main_step) VALUES
  ('audio', 'Any video or audio to one audio file (mp3 192 kb/s by default)', 'audio');

INSERT INTO media.pipeline_steps (pipeline, step, queue, params, params_schema) VALUES
  ('audio', 'audio', 'short', '{"format": "mp3"}', '{
     "format":      {"enum": ["mp3", "aac", "opus", "flac", "wav", "vorbis"]},
     "bitrate":     {"type": "integer", "min": 8, "max": 512},
     "quality":     {"type": "number", "min": 0, "max": 10},
     "channels":    {"type": "integer", "min": 1, "max": 8},
     "sample_rate": {"type": "integer", "min": 8000, "max": 192000},
     "cover":       {"enum": ["keep", "drop"]}
   }');
