/** Version of this package: programs that another version compiled are not used. */
export const libraryVersion = "0.1.0";
