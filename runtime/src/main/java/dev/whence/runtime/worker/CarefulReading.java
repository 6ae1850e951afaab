package dev.whence.runtime.worker;

import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.kafka.RawBatches;
import dev.whence.runtime.kafka.RawBatches.Fetched;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads partitions on which a process ran out of memory, past the place where it did. A compressed
 * batch of a few KiB may unpack to gigabytes, and the consumer allocates what a record says that it
 * is long. Here a batch is fetched as it stands and unpacked record by record ({@link
 * UnpackedBatch}); one that takes more than an eighth of the heap is never in memory, and all
 * others of its batch are read as ever. A partition goes back to the consumer at the end of a
 * batch, once as many records in a row are small as the consumer unpacks in one poll. Owned by the
 * poll thread.
 */
final class CarefulReading implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(CarefulReading.class);

  /**
   * Of the heap, for one record: the consumer holds it twice while it unpacks, and several of them.
   */
  private static final int PART_OF_HEAP = 8;

  private final RawBatches batches;
  private final long mostBytes;
  private final Map<TopicPartition, Place> places = new HashMap<>();

  private static final class Place {
    long next;
    final long suspect;
    Optional<UnpackedBatch> open = Optional.empty();
    int smallInARow;

    Place(long next, long suspect) {
      this.next = next;
      this.suspect = suspect;
    }

    void close() {
      open.ifPresent(UnpackedBatch::close);
      open = Optional.empty();
    }
  }

  /**
   * What was read of a partition.
   *
   * @param records in order; may be empty
   * @param next where the partition goes on
   * @param ended whether the consumer may read on from there
   */
  record Read(List<UnpackedBatch.Unpacked> records, OffsetAndMetadata next, boolean ended) {}

  CarefulReading(RawBatches batches) {
    this(batches, Runtime.getRuntime().maxMemory() / PART_OF_HEAP);
  }

  /**
   * @param mostBytes that a record may take in memory
   */
  CarefulReading(RawBatches batches, long mostBytes) {
    this.batches = batches;
    this.mostBytes = mostBytes;
  }

  /**
   * From now on a partition is read here.
   *
   * @param next offset to read from
   * @param suspect where a process ran out of memory
   */
  void begin(TopicPartition partition, long next, long suspect) {
    drop(partition);
    places.put(partition, new Place(next, suspect));
  }

  Set<TopicPartition> partitions() {
    return Set.copyOf(places.keySet());
  }

  void drop(TopicPartition partition) {
    Place place = places.remove(partition);
    if (place != null) {
      place.close();
    }
  }

  /**
   * The next records of a partition.
   *
   * @param mostRecords to read
   * @param enoughBytes reading ends with the record that reaches them, or is too large
   * @throws EnvironmentException if they can not be read now
   */
  Read read(TopicPartition partition, int mostRecords, long enoughBytes) {
    Place place = places.get(partition);
    if (place == null) {
      throw new IllegalStateException(partition + " is not read with care");
    }
    if (place.open.isEmpty()) {
      Fetched fetched = batches.at(partition, place.next);
      if (fetched instanceof Fetched.Nothing nothing) {
        place.next = nothing.nextOffset();
        return new Read(List.of(), at(place.next, Optional.empty()), /* ended= */ false);
      }
      if (fetched instanceof Fetched.End) {
        return ended(partition, place, place.next >= place.suspect);
      }
      if (fetched instanceof Fetched.OutOfRange) {
        return ended(partition, place, /* ended= */ true); // the consumer finds it, too
      }
      Fetched.Batch batch = (Fetched.Batch) fetched;
      place.open =
          Optional.of(new UnpackedBatch(partition, batch.records(), place.next, mostBytes));
    }
    return unpack(partition, place, place.open.orElseThrow(), mostRecords, enoughBytes);
  }

  private Read unpack(
      TopicPartition partition,
      Place place,
      UnpackedBatch batch,
      int mostRecords,
      long enoughBytes) {
    List<UnpackedBatch.Unpacked> records = new ArrayList<>();
    long bytes = 0;
    try {
      while (records.size() < mostRecords && bytes < enoughBytes) {
        Optional<UnpackedBatch.Unpacked> next = batch.next();
        if (next.isEmpty()) {
          place.close();
          place.next = batch.nextOffset();
          Read read = ended(partition, place, place.smallInARow >= Clients.RECORDS_OF_ONE_POLL);
          return new Read(records, at(place.next, batch.leaderEpoch()), read.ended());
        }
        UnpackedBatch.Unpacked record = next.get();
        records.add(record);
        // One that is too large took its time: between two of them the consumer is to be polled.
        bytes += record.tooLarge().isPresent() ? enoughBytes : record.bytes();
        place.next = record.record().offset() + 1;
        boolean small =
            record.tooLarge().isEmpty()
                && record.bytes() <= mostBytes / Clients.RECORDS_OF_ONE_POLL;
        place.smallInARow =
            small && record.record().offset() >= place.suspect ? place.smallInARow + 1 : 0;
      }
    } catch (KafkaException e) {
      place.close();
      if (records.isEmpty()) {
        throw new EnvironmentException(String.valueOf(e.getMessage()), e);
      }
    }
    return new Read(records, at(place.next, batch.leaderEpoch()), /* ended= */ false);
  }

  private Read ended(TopicPartition partition, Place place, boolean ended) {
    if (ended) {
      LOG.info("{} is read on as ever from offset {}", partition, place.next);
      drop(partition);
    }
    return new Read(List.of(), at(place.next, Optional.empty()), ended);
  }

  private static OffsetAndMetadata at(long offset, Optional<Integer> leaderEpoch) {
    return new OffsetAndMetadata(offset, leaderEpoch, "");
  }

  /** Why a record is given up unread. */
  Failure tooLarge(SourceRecord record, long bytes) {
    return new Failure(
        "TOO_LARGE_DECOMPRESSED",
        record.place()
            + " is too large once decompressed: it takes "
            + bytes
            + " bytes of memory, and a record may take "
            + mostBytes
            + ", an eighth of this process's heap");
  }

  @Override
  public void close() {
    places.values().forEach(Place::close);
    places.clear();
    batches.close();
  }
}
