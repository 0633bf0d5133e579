"""From a Score to notation: grid, spelling, staves, rhythm, and the formats that are written; it reads no file."""
