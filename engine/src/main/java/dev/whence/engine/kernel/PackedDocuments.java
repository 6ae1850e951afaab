package dev.whence.engine.kernel;

/**
 * Documents side by side in rows of equal length, ready for the training kernel. All arrays but the
 * last four are [rows, length] flattened. A token sees itself and what stands before it in its own
 * document, never its neighbours.
 *
 * @param rows B
 * @param length L, tokens of a row, padding included
 * @param ids tokens; padding has any id
 * @param documents number of the document that a token belongs to, -1 for padding
 * @param positions place of a token in its document, from 0
 * @param scored places in [0, B L) whose next token's loss counts, ascending
 * @param targets the next tokens of those
 * @param weights of their losses
 * @param teachers losses of a teacher, nats, that theirs are to come to; NaN where they are to be
 *     as small as they can, infinite where a token and the one before are told one loss together;
 *     empty: NaN everywhere
 */
@SuppressWarnings("ArrayRecordComponent") // handed to the kernel; compared nowhere
public record PackedDocuments(
    int rows,
    int length,
    long[] ids,
    long[] documents,
    long[] positions,
    long[] scored,
    long[] targets,
    float[] weights,
    float[] teachers) {
  public PackedDocuments {
    int n = Math.multiplyExact(rows, length);
    if (ids.length != n || documents.length != n || positions.length != n) {
      throw new IllegalArgumentException("ids, documents and positions must have " + n + " places");
    }
    if (scored.length != targets.length || scored.length != weights.length) {
      throw new IllegalArgumentException("scored, targets and weights must be of one length");
    }
    if (teachers.length != 0 && teachers.length != scored.length) {
      throw new IllegalArgumentException(
          "a teacher says something of all that is scored, or nothing");
    }
    for (int i = 0; i < teachers.length; i++) {
      if (Float.isInfinite(teachers[i]) && (i == 0 || Float.isNaN(teachers[i - 1]))) {
        throw new IllegalArgumentException(
            "what is scored at " + i + " goes on with nothing that a teacher has told a loss");
      }
    }
  }

  /** Without a teacher. */
  public PackedDocuments(
      int rows,
      int length,
      long[] ids,
      long[] documents,
      long[] positions,
      long[] scored,
      long[] targets,
      float[] weights) {
    this(rows, length, ids, documents, positions, scored, targets, weights, new float[0]);
  }
}
