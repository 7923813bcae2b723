//! Object stores: durable local folder, memory, recording and faulty.
