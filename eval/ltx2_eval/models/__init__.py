"""Everything that can make a clip: the bundled LTX-2, folders of finished clips, external commands, plug-ins."""
