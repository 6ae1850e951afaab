package dev.whence.influence.index;

import java.nio.ByteBuffer;

/** The signs of all documents of a shard in memory, [n, k / 64] words on the heap. */
final class HeldSigns {
  /** Of a block, its array's header included: whole regions of a heap of any size. */
  private static final int BLOCK_BYTES = 1 << 26;

  private static final int HEADER_BYTES = 64;

  private final int rowsOfBlock;
  private final RowBlock[] blocks;

  /** Without a bit. */
  HeldSigns(RowWidth width, int documents, int words) {
    this(width, documents, words, BLOCK_BYTES - HEADER_BYTES);
  }

  /**
   * Without a bit.
   *
   * @param blockBytes most that lie one after the other, but for a row that is longer
   */
  HeldSigns(RowWidth width, int documents, int words, int blockBytes) {
    this.rowsOfBlock = Math.max(1, blockBytes / (words * Long.BYTES));
    this.blocks = new RowBlock[(documents + rowsOfBlock - 1) / rowsOfBlock];
    for (int b = 0; b < blocks.length; b++) {
      int rows = Math.min(rowsOfBlock, documents - b * rowsOfBlock);
      blocks[b] = RowBlock.of(width, rows, words);
    }
  }

  /** Takes row {@code number} of the bytes over as that of a document. */
  void take(ByteBuffer bytes, int number, int document) {
    blocks[document / rowsOfBlock].take(bytes, number, document % rowsOfBlock);
  }

  double product(QueryPlanes query, int document) {
    return blocks[document / rowsOfBlock].product(query, document % rowsOfBlock);
  }
}
