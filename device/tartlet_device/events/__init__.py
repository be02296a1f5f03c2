"""Events on disk: the log, pictures and clips, so that a power cut leaves what was there before.

From an event to the disk: `recorder` (one thread) takes frames and events from `inbox`, encodes
frames (`encoder`) into `ring`, writes clips (`clip`, `mp4`) and pictures (`picture`, `exif`) where
`storage` says, and enters all of it in `log` (`record`, `database`, `side_files`).
"""
