"""Video bytes: fragmenting at keyframes, keyframe index, playlists, thumbnails."""
