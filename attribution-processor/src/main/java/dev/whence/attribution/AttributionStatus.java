package dev.whence.attribution;

/** How the attribution of a response ended. */
public enum AttributionStatus {
  /** Scores are there. */
  SCORED,
  /** Left out by the sampling rate or a filter. */
  SAMPLED_OUT,
  /** This scorer can not score this response; the reason says why. */
  UNSUPPORTED,
  /** Something went wrong with this record; the reason says what. */
  FAILED
}
