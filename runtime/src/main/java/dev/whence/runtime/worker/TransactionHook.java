package dev.whence.runtime.worker;

/** Places inside a transaction at which tests let things go wrong. */
interface TransactionHook {
  TransactionHook NONE = new TransactionHook() {};

  /** After the results were sent, before their offsets. */
  default void inside() {}

  /** After the offsets were sent, before the commit. */
  default void beforeCommit() {}

  /** After the commit took effect, before the producer says so. */
  default void afterCommit() {}
}
