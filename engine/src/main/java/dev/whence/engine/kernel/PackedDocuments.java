package dev.whence.engine.kernel;

/**
 * Documents side by side in rows of equal length, ready for the training kernel. All arrays but the
 * last three are [rows, length] flattened. A token sees itself and what stands before it in its own
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
    float[] weights) {
  public PackedDocuments {
    int n = Math.multiplyExact(rows, length);
    if (ids.length != n || documents.length != n || positions.length != n) {
      throw new IllegalArgumentException("ids, documents and positions must have " + n + " places");
    }
    if (scored.length != targets.length || scored.length != weights.length) {
      throw new IllegalArgumentException("scored, targets and weights must be of one length");
    }
  }
}
